"""What belongs to the whole process or to somebody else, and is afterwards what it was: also after ^C, also with threads."""
