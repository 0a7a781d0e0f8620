"""HTTP between this package and Cog servers."""
