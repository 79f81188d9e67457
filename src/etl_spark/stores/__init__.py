"""Where tables live. Every store keeps one law: a write leaves exactly its rows for its scope, or what stood before."""
