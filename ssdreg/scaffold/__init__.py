"""New plug-ins, written from templates."""
