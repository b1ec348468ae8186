"""The network that gives pictures embeddings, and where registered ones are searched."""
