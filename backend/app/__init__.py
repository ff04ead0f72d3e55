"""The Todo Chatbot's API."""

VERSION = "0.1.0"
