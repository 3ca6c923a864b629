"""Speed, measured: rows of work, each against the peers that are installed or the machine's own limit.

A family is a module with ``rows()``; to add one, write it and name it in FAMILIES.  ``ebm-ref bench`` runs them,
``python -m validation.benchmarks`` also writes the page and the figures.  Nothing here is a test.
"""

FAMILIES = ("start", "enumeration", "gibbs", "langevin", "learning", "deep")
