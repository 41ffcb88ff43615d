"""What every room may use and what knows no gradient: arrays, arithmetic, pytrees, words, files, loading, processes."""
