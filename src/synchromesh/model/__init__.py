"""The canonical model: frozen, typed values in the words of ISA-95. Imports nothing else of the product."""
