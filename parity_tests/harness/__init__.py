"""How the twins are put side by side: gradients, modules, whole trainings."""
