"""The command line `activation`.

`main` puts the commands together; each command is in the module of its group. They import neither
httpx (`client`) nor Rich (`terminal`) by themselves: `session` does when a command runs, so that
`--help` and completion stay quick.
"""
