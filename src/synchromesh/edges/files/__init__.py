"""The drop folder edge: each row of a CSV file becomes one message, and the end of the file another."""
