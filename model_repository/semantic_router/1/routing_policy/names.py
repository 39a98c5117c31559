"""Names that every part of the product must spell alike."""

# Asked for as a model, it asks for routing; so no model, target or upstream may be called so.
ALIAS = "router"
