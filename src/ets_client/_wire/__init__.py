"""SGLang's HTTP dialect as pure functions: what is sent, and what the replies mean."""
