"""What runs inside the jail: standard library only, because nothing else is visible there."""
