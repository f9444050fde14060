"""Work that is shared by several processes, on one machine or on many."""
