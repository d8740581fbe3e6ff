"""Who may do what: roles as data, one pure decision, and the authority that the door of every service asks."""
