"""Other people's search libraries on this client, a module each: import the one that you use."""
