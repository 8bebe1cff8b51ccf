"""Egress: the one door through which a turn may reach the network, from an accepted connection on."""
