"""Tasks, their states and the rules that move them: standard library only, no I/O."""
