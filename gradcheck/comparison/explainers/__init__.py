"""What shows a cause where the truth is known entry by entry, and the reference can be asked again; a module an idea."""
