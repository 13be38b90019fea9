// Who signs in next in this tab finds no names of guests that were set aside before.
sessionStorage.clear();
