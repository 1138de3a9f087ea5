package backendtest

// Laws are the names of all laws, as chapter/law.
func Laws() (names []string) {
	for _, chapter := range chapters() {
		for _, law := range chapter.laws {
			names = append(names, chapter.name+"/"+law.name)
		}
	}
	return names
}
