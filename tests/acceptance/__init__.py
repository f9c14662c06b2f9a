"""Scripts that show the whole product holding, run by hand or by name: too long for every commit."""
