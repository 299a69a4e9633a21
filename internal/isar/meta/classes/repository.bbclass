# Kept for recipes that inherit it; isar-apt is written by n3x.
