"""Drop-in replacements with the names and signatures of another library."""
