"""The connections of clients: how many there may be, how long each may take, and what arrives there that is no HTTP."""
