"""The course: lessons, exercises, and what runs them."""
