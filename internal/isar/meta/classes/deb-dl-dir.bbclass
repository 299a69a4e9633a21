# Kept for recipes that inherit it; .debs are shared through DL_DIR by n3x.
