"""How fast builds of a network are, how accurate, how much memory they take, and how that grows: ``gradcheck bench``."""
