module ferrogate.test/lab/web

go 1.26.0
