"""Legal routes: which law reaches a case, what its notice says, and which deadline it sets."""
