"""The scenario: its model, its loading, its checks across keys, and its JSON Schemas."""
