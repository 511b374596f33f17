"""The examples of the OpenAPI document; a test holds each against its schema."""
