"""The commands of `pdae-sim`, a module each."""
