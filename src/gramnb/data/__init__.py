"""From published image lists to tables that a network can be trained on."""
