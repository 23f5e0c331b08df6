"""Where asyncio lives: attempts, retries, deadlines, aborts, and what an expand is made of."""
