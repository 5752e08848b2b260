"""Access tokens of an OpenID provider: JSON Web Tokens, checked with the keys that it publishes."""
