"""What `gans_jax.compile` knows of accelerators that are not here.

`chips.py` has their figures, `links.py` what a message between them takes, `target.py`
what ``--for`` means, `collectives.py` which messages a program has, `roofline.py` what
a step takes at best: none of these needs JAX. `backend.py` makes the training call of a
run for them, `program.py` looks at it, `report.py` says what was seen.
"""
