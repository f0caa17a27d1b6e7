"""Drop-ins that keep another library's names and signatures."""
