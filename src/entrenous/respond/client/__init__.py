"""Clients for what RESPOND asks over the network: stamp authorities and watched pages."""
