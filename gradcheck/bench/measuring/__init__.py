"""How a case is measured: one child process a build, asked in turns for seconds, bytes and errors."""
