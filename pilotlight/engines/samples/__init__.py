"""Texts that artifacts are compared on: English prose, chats and code, written for this project (Apache-2.0)."""
