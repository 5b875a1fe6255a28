// Package common stands in for the part of Tencent's SDK that flannel's Tencent backend names.
// The lab has no Tencent cloud, so the real SDK is not worth a download; see ../../../README.md.
package common

// StringPtr returns a pointer to the text.
func StringPtr(text string) *string { return &text }

// BoolPtr returns a pointer to the answer.
func BoolPtr(answer bool) *bool { return &answer }

// StringPtrs returns a pointer to each text.
func StringPtrs(texts []string) []*string {
	pointers := make([]*string, len(texts))
	for at := range texts {
		pointers[at] = &texts[at]
	}
	return pointers
}
