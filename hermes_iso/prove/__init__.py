"""`hermes-iso prove`: the attack and leak suite as a part of the product."""
