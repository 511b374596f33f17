"""What travels: one pydantic model per body, in camelCase, with instants as ISO 8601 UTC.

Requests are strict about types and names; the rules of the values are the domain's. What a client
should know of those rules stands beside the field for the OpenAPI document.
"""
