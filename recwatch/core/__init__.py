"""The words that the folders share, and the two seams (bus and store) between them. Imports none of the other folders."""
