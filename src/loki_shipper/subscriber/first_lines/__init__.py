"""Reads lines back that no filter delivered, and ships them."""
