"""Looking at pictures and labels before anything is learned from them: what is broken, doubled, mislabelled, odd."""
