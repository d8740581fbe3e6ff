"""What lies in an artifact: its format, its files, and what its pickles name. Files are read as data and never loaded.

`formats` tells what a file is, `folders` how a folder has one digest, `globals` what naming something in a pickle
means, `pickles` lists a pickle's opcodes, and `scan` looks through a whole artifact.
"""
